//! What coding and reading cost: time by criterion, allocations and copied payload by counting.
//!
//! `cargo bench -p moqingbird-wire`, then `--` and a part of a case's name to measure that case only, `--quick` for a first
//! impression.

mod cases;

use allocation_counter::measure;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

fn values(c: &mut Criterion) {
    cases::each_value(|name, once| {
        once();
        println!("{name}: {} allocations", measure(&mut *once).count_total);
        c.bench_function(name, |b| b.iter(&mut *once));
    });
}

fn streams(c: &mut Criterion) {
    for (name, stream) in cases::streams() {
        let costs = stream.costs();
        let each = |count: u64| count as f64 / costs.objects as f64;
        println!(
            "{name}: {:.4} allocations and {:.1} copied bytes an object",
            each(costs.allocations),
            each(costs.copied)
        );
        let mut group = c.benchmark_group("stream");
        group.throughput(Throughput::Elements(stream.objects));
        group.bench_function(&name, |b| {
            b.iter_batched(|| stream.chunks(), |chunks| stream.read(chunks, drop), BatchSize::LargeInput);
        });
        group.finish();
    }
}

criterion_group!(benches, values, streams);
criterion_main!(benches);
