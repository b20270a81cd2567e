//! The page: one file, with the run in it, that needs nothing else.

use std::io::{self, BufWriter};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::model::Run;
use crate::why::Story;

const TEMPLATE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");

/// The script's parts, in the order in which they need each other.
const SCRIPTS: [&str; 14] = [
    include_str!("../page/util.js"),
    include_str!("../page/data.js"),
    include_str!("../page/state.js"),
    include_str!("../page/axis.js"),
    include_str!("../page/colour.js"),
    include_str!("../page/lanes.js"),
    include_str!("../page/messages.js"),
    include_str!("../page/logs.js"),
    include_str!("../page/panels.js"),
    include_str!("../page/ring.js"),
    include_str!("../page/story.js"),
    include_str!("../page/compare.js"),
    include_str!("../page/keys.js"),
    include_str!("../page/main.js"),
];

/// What a page is given.
#[derive(Serialize)]
struct Data<'a> {
    run: &'a Run,
    story: &'a Story,
    /// The run that it is compared with.
    other: Option<&'a Run>,
}

/// The page of one run.
pub fn page(run: &Run) -> String {
    render(&Data { run, story: &Story::of(run), other: None })
}

/// The page of a run beside another one: the first event that differs is marked.
pub fn page_beside(run: &Run, other: &Run) -> String {
    render(&Data { run, story: &Story::of(run), other: Some(other) })
}

fn render(data: &Data<'_>) -> String {
    let title = format!("{} {}", data.run.test, data.run.seed);
    let (title, headline) = (escape(&title), escape(headline(data.run)));
    let packed = pack(data).expect("numbers and strings can be written to memory");
    let mut page = String::with_capacity(packed.len() + 200_000);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the template closes its braces");
        page.push_str(before);
        match name {
            "title" => page.push_str(&title),
            // Seen before the script has unpacked the rest.
            "headline" => page.push_str(&headline),
            "style" => page.push_str(STYLE),
            "script" => SCRIPTS.iter().for_each(|script| page.push_str(script)),
            "data" => page.push_str(&packed),
            _ => unreachable!("the template asks for {name}"),
        }
        rest = after;
    }
    page + rest
}

fn headline(run: &Run) -> &str {
    run.verdict.as_ref().map_or(&run.title, |verdict| &verdict.title)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The run in a page.
///
/// # Errors
///
/// If this is not a page of ours.
pub fn run_of_page(page: &str) -> io::Result<Run> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let data = page.split_once(BEFORE_DATA).ok_or_else(|| bad("the page has no run in it"))?.1;
    let data = data.split('<').next().unwrap_or(data).trim();
    let packed = BASE64_STANDARD.decode(data).map_err(|error| bad(&error.to_string()))?;
    let data: Stored = serde_json::from_reader(GzDecoder::new(&packed[..]))?;
    Ok(data.run)
}

/// Of a page, what is read again.
#[derive(Deserialize)]
struct Stored {
    run: Run,
}

/// In the template.
const BEFORE_DATA: &str = "id=\"data\">";

/// JSON, compressed because it repeats itself, as text that HTML leaves alone.
fn pack(data: &Data<'_>) -> io::Result<String> {
    // The encoder is slow with small pieces.
    let mut packed = BufWriter::new(GzEncoder::new(Vec::new(), Compression::default()));
    serde_json::to_writer(&mut packed, data)?;
    let packed = packed.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(BASE64_STANDARD.encode(packed.finish()?))
}
