//! `moqt bench`: the suite is a crate of its own.

use moqingbird_bench::Args;

use crate::exit::{Failure, Outcome};
use crate::logs;

pub(crate) async fn run(args: Args) -> Outcome {
    logs::start("error");
    moqingbird_bench::run(args).await.map_err(Failure::failed)
}
