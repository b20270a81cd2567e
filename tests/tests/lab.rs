//! The graded tests.
