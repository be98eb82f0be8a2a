//! The end of a connection without an answer, as a fault that tests order.

/// Closes the connection without an answer. axum has no call for that, but each connection is a
/// task of its own whose end closes it. Unwinding without the panic hook prints nothing on stderr.
pub fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the connection is closed on request"))
}
