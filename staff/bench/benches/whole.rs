//! What is measured once and not a thousand times: memory, and the graded tests.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::io;

use labbench::{
    On,
    graded::{LAB_3, LAB_4, Tests},
    memory,
};

fn main() -> io::Result<()> {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter));
    for (on, tasks) in [(On::Coroutines, 5000), (On::Baton, 1000)] {
        let name = format!("{on:?}: memory of a parked task");
        if wanted(&name)
            && let Some(bytes) = memory::of_a_parked_task(on, tasks)
        {
            println!("{name:<48} {bytes:6} bytes");
        }
    }
    let parts = || LAB_3.into_iter().chain(LAB_4);
    if parts().any(|part| wanted(&name_of(part))) {
        let tests = Tests::build(true)?;
        for part in parts().filter(|part| wanted(&name_of(part))) {
            let pass = tests.run(part, 10, true)?;
            let seeds = f64::from(u32::try_from(pass.seeds).unwrap_or(u32::MAX));
            println!(
                "{:<48} {:8.1} ms of CPU, {:6.1} s of virtual time",
                name_of(part),
                pass.cpu.as_secs_f64() * 1e3 / seeds,
                pass.virtual_time.as_secs_f64() / seeds,
            );
        }
    }
    Ok(())
}

fn name_of(part: &str) -> String {
    format!("graded: all tests of {part} on one seed")
}
