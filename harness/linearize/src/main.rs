//! Checks a history in a file. See the crate's documentation.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use linearize::format::{self, Notation};
use linearize::models::{Kv, Queue, Register};
use linearize::{Budget, Picture, Verdict, check};

/// Says whether a history of concurrent operations is linearizable.
///
/// Exit code: 0 it is, 1 it is not, 2 not known within the budget, 3 the history cannot be read.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// What the operations were made on.
    #[arg(long, value_enum)]
    model: ModelName,
    /// The history, one event a line: `process, invoke|ok|fail|info, operation, value [, time]`.
    /// `-` reads it from the standard input.
    history: PathBuf,
    /// Draw the history, and the answer in it, as a page for the browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How many steps the search may take.
    #[arg(long, default_value_t = Budget::default().steps)]
    steps: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ModelName {
    /// get, put, append
    Kv,
    /// read, write, cas
    Register,
    /// enqueue, dequeue
    Queue,
}

const NOT_LINEARIZABLE: u8 = 1;
const UNKNOWN: u8 = 2;
const BAD_INPUT: u8 = 3;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Not being able to print leaves the exit code to tell.
            let _ = error.print();
            return if error.use_stderr() { BAD_INPUT.into() } else { ExitCode::SUCCESS };
        }
    };
    let done = match args.model {
        ModelName::Kv => run(&Kv, &args),
        ModelName::Register => run(&Register, &args),
        ModelName::Queue => run(&Queue, &args),
    };
    done.unwrap_or_else(|message| {
        let _ = writeln!(std::io::stderr(), "linearize: {message}");
        BAD_INPUT.into()
    })
}

fn run<M: Notation>(model: &M, args: &Args) -> Result<ExitCode, String> {
    let named = |error: &dyn Display| format!("{}: {error}", args.history.display());
    let text = read(&args.history).map_err(|error| named(&error))?;
    let history = format::parse(model, &text).map_err(|error| named(&error))?;
    let verdict = check(model, &history, Budget::of_steps(args.steps));
    let (answer, code) = match &verdict {
        Verdict::Linearizable(proof) => {
            let (operations, keys) = (history.len(), proof.orders.len());
            let answer = format!(
                "linearizable ({operations} operations on {keys} keys, {} steps)",
                proof.steps
            );
            (answer, ExitCode::SUCCESS)
        }
        Verdict::NotLinearizable(violation) => {
            let answer = format!("not linearizable\n{}", violation.explain(model, &history));
            (answer, NOT_LINEARIZABLE.into())
        }
        Verdict::Unknown(undecided) => {
            let keys: Vec<String> = undecided.undecided.keys().map(ToString::to_string).collect();
            let (steps, used_up, keys) = (undecided.steps, undecided.used_up, keys.join(", "));
            let answer = format!(
                "unknown: no answer after {steps} steps, for {keys}; the budget of {used_up} is used up"
            );
            (answer, UNKNOWN.into())
        }
    };
    let _ = writeln!(std::io::stdout(), "{answer}");
    if let Some(file) = &args.html {
        let name =
            args.history.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        let page = Picture::new(name).page(model, &history, &verdict);
        std::fs::write(file, page).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(code)
}

fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}
