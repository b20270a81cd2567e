compile_error!("the tester was replaced");
