#[test]
fn basic_agree() {}
