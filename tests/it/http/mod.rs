//! The function over HTTP and as a Lambda function.

mod calls;
mod lambda;
mod strangers;
