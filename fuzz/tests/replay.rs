//! Every input of the corpus, and a few thousand changed ones, through the target that it is for.

mod seeds;

use std::fs;
use std::path::PathBuf;

use moqingbird_fuzz::TARGETS;

/// Changed inputs a target.
const CHANGED: usize = 10_000;

#[test]
fn the_corpus_holds_no_finding() {
    for (target, body) in TARGETS {
        for input in corpus(target) {
            under(target, &input, *body);
        }
    }
}

#[test]
fn the_corpus_changed_at_random_holds_no_finding() {
    for (target, body) in TARGETS {
        let inputs = corpus(target);
        let mut random = Random(0x6d6f_7174);
        for _ in 0..CHANGED {
            let mut input = inputs[random.below(inputs.len())].clone();
            for _ in 0..=random.below(4) {
                change(&mut input, &inputs, &mut random);
            }
            under(target, &input, *body);
        }
    }
}

#[test]
fn the_corpus_holds_the_seeds_that_the_vectors_make_and_no_others() {
    let seeds = seeds::all();
    for (place, input) in &seeds {
        let kept = fs::read(seeds::corpus().join(place)).unwrap_or_default();
        assert!(kept == *input, "{} is stale: cargo run -p moqingbird-fuzz --example seed", place.display());
    }
    for (target, _) in TARGETS {
        for entry in fs::read_dir(seeds::corpus().join(target)).unwrap() {
            let place = PathBuf::from(target).join(entry.unwrap().file_name());
            let name = place.file_name().unwrap().to_string_lossy();
            // What a run of the fuzzer found is named by its digest or by what it shows, a seed by its draft.
            let is_seed = name.starts_with("14-") || name.starts_with("16-");
            assert!(!is_seed || seeds.contains_key(&place), "{} is of no vector", place.display());
        }
    }
}

#[test]
fn every_target_file_is_a_target() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    files.sort();
    assert_eq!(files, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

/// The inputs of a target, always in the same order.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = seeds::corpus().join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs a target; if it panics, says with what.
fn under(target: &str, input: &[u8], body: fn(&[u8])) {
    struct Says<'a>(&'a str, &'a [u8]);
    impl Drop for Says<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("a finding of {}: {hex}", self.0);
            }
        }
    }
    let _says = Says(target, input);
    body(input);
}

/// One change of the kinds that libFuzzer makes.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(6) {
        0 if at < input.len() => input[at] = random.below(256) as u8,
        1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 if at < input.len() => drop(input.remove(at)),
        3 => input.insert(at, random.below(256) as u8),
        4 => input.truncate(at),
        _ => {
            let other = &others[random.below(others.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
