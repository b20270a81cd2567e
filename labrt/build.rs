//! Says once where coroutines exist, so that the code does not repeat the list (nor Cargo.toml's).

fn main() {
    println!("cargo::rustc-check-cfg=cfg(coroutines)");
    let target = |key: &str| std::env::var(key).unwrap_or_default();
    let (arch, family) = (target("CARGO_CFG_TARGET_ARCH"), target("CARGO_CFG_TARGET_FAMILY"));
    let coroutines = match arch.as_str() {
        "x86_64" => family.contains("unix") || family.contains("windows"),
        "aarch64" => family.contains("unix"),
        _ => false,
    };
    if coroutines {
        println!("cargo::rustc-cfg=coroutines");
    }
}
