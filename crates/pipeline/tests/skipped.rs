//! A skipped step does not compile.

#[test]
fn a_skipped_step_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/skipped/*.rs");
}
