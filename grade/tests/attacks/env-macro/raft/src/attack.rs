//! what:    reads the grader's environment while it is compiled
//! stopped: the scan; a build without the grader's environment
//! default: env (reaches outside its sources)
//! flagged: environment variable `GRADE_SECRET` not defined at compile time

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    println!("{}", env!("GRADE_SECRET"));
    Shared::default()
}
