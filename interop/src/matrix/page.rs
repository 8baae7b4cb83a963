//! The page: one file of HTML that needs nothing else, not even a script.

use std::fmt::Write;

use time::OffsetDateTime;

use super::{Cell, Matrix, Named, Status};

/// The matrix as a page.
pub(super) fn page(matrix: &Matrix) -> String {
    let mut html = String::from(HEAD);
    let date = date(matrix.unix_time);
    // Writing to a String does not fail.
    let _ = write!(
        html,
        "<h1>MoQT interop matrix</h1>\n<p>{date}. Rows are clients, columns relays; in each cell the drafts and transports. \
         A cell says how many cases passed of those that were not skipped; click it for the client's TAP.</p>\n"
    );
    html.push_str("<p class=\"legend\">");
    for status in [Status::Pass, Status::Fail, Status::Skip, Status::Error] {
        let _ = write!(html, "<span class=\"{status}\">{status}</span> ");
    }
    html.push_str("</p>\n<table>\n<tr><th></th>");
    for relay in &matrix.relays {
        let _ = write!(html, "<th scope=\"col\">{}</th>", named(relay));
    }
    html.push_str("</tr>\n");
    for client in &matrix.clients {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", named(client));
        for relay in &matrix.relays {
            html.push_str("<td>");
            let here = |(_, cell): &(usize, &Cell)| cell.client == client.name && cell.relay == relay.name;
            for (index, cell) in matrix.cells.iter().enumerate().filter(here) {
                button(&mut html, index, cell);
            }
            html.push_str("</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    for (index, cell) in matrix.cells.iter().enumerate() {
        details(&mut html, index, cell);
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn named(peer: &Named) -> String {
    let version = peer.version.as_deref().map(|it| format!("<small>{}</small>", escaped(it)));
    format!("{}{}", escaped(&peer.name), version.unwrap_or_default())
}

fn button(html: &mut String, index: usize, cell: &Cell) {
    let Cell { draft, transport, status, .. } = cell;
    let _ = write!(
        html,
        "<button class=\"{status}\" popovertarget=\"cell-{index}\" title=\"{}\">{draft} {transport} <b>{}</b></button>",
        escaped(&cell.to_string()),
        summary(cell)
    );
}

fn summary(cell: &Cell) -> String {
    let ran = cell.counts.passed + cell.counts.failed;
    match cell.status {
        Status::Pass | Status::Fail if ran > 0 => format!("{}/{ran}", cell.counts.passed),
        status => status.to_string(),
    }
}

fn details(html: &mut String, index: usize, cell: &Cell) {
    let _ = write!(
        html,
        "<div popover id=\"cell-{index}\"><h2>{} against {}, draft-{} over {}</h2><p class=\"{}\">{}",
        escaped(&cell.client),
        escaped(&cell.relay),
        cell.draft,
        cell.transport,
        cell.status,
        cell.status
    );
    let _ = write!(html, ", {:.1} s", cell.seconds);
    if let Some(code) = cell.exit_code {
        let _ = write!(html, ", exit status {code}");
    }
    if let Some(reason) = &cell.reason {
        let _ = write!(html, ": {}", escaped(reason));
    }
    let _ = writeln!(html, "</p><pre>{}</pre></div>", escaped(&cell.tap));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The day and minute.
fn date(unix_time: u64) -> String {
    let time = i64::try_from(unix_time).ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    time.map_or("an unknown day".to_owned(), |time| {
        let (month, day) = (u8::from(time.month()), time.day());
        format!("{}-{month:02}-{day:02} {:02}:{:02} UTC", time.year(), time.hour(), time.minute())
    })
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>MoQT interop matrix</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: separate; border-spacing: .5rem; }
th { text-align: left; vertical-align: top; font-weight: 600; }
th small { display: block; font-weight: 400; opacity: .7; max-width: 16rem; overflow-wrap: anywhere; }
td { vertical-align: top; }
button { display: flex; justify-content: space-between; gap: 1rem; width: 15rem; margin: 0 0 .25rem; font: inherit;
  border: 0; border-radius: .35rem; padding: .3rem .6rem; cursor: pointer; }
button:focus-visible { outline: 3px solid #3b82f6; }
.legend span { border-radius: .35rem; padding: .15rem .6rem; margin-right: .4rem; }
.pass { background: #1a7f4b; color: #fff; }
.fail { background: #b3261e; color: #fff; }
.error { background: #8a4b08; color: #fff; }
.skip { background: #8883; color: inherit; }
[popover] { width: min(60rem, 92vw); max-height: 85vh; overflow: auto; border: 0; border-radius: .6rem; padding: 1rem 1.5rem;
  box-shadow: 0 1rem 3rem #0008; }
[popover]::backdrop { background: #0006; }
[popover] h2 { margin: 0 0 .5rem; font-size: 1.1rem; }
[popover] p { display: inline-block; border-radius: .35rem; padding: .15rem .6rem; margin: 0; }
pre { font: 13px/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
</head>
<body>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_and_minute_are_told() {
        assert_eq!(date(1_796_083_199), "2026-11-30 23:59 UTC");
    }

    #[test]
    fn what_peers_say_is_text_and_no_markup() {
        assert_eq!(escaped("<b a=\"1\">&</b>"), "&lt;b a=&quot;1&quot;&gt;&amp;&lt;/b&gt;");
    }
}
