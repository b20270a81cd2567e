//! The graded tests, and the tester they are written with.
