//! A network of in-process servers that delays, loses and reorders calls on purpose.
