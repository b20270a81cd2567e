use proc_macro::TokenStream;

#[proc_macro]
pub fn evil(_: TokenStream) -> TokenStream {
    std::fs::write("@SCRATCH@/macro-ran", "").unwrap();
    TokenStream::new()
}
