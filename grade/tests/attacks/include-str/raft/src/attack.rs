//! what:    reads a secret of the grader's while it is compiled
//! stopped: the scan; a build that may read only what it needs
//! default: include_str (reaches outside its sources)
//! flagged: couldn't read `@SCRATCH@/secret`: Permission denied

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    println!("{}", include_str!("@SCRATCH@/secret"));
    Shared::default()
}
