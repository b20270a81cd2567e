fn main() {
    std::fs::write("@SCRATCH@/build-script-ran", "").unwrap();
}
