//! Where a report goes.

use std::io::{self, Write};

use crate::args::OutputArgs;
use crate::{Error, Report, plot};

/// Prints a report as asked, and draws it.
pub(crate) fn show(args: &OutputArgs, report: &Report) -> Result<(), Error> {
    if let Some(file) = &args.plot {
        plot::report(report, file)?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    } else if args.csv {
        write!(out, "{}", report.csv())?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}
