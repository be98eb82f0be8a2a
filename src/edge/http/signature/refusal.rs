//! The reasons for refusing a signed call.

/// The longest token that is parsed and hashed. Live tokens have less than 1 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The reason why a call was refused. It is for the log alone, and the answer does not have it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is longer than any of QStash.
    #[error("Token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// The token is not made of header, claims and MAC.
    #[error("Token has not exactly three parts")]
    Parts,
    /// The token has padding, a foreign character or unused bits that are set.
    #[error("Token is not canonical base64url")]
    Encoding,
    /// The header is not a JSON object, or has a field twice.
    #[error("Token header is unreadable")]
    Header,
    /// The algorithm is another one, or `none`, or its name is spelt in another way.
    #[error("Token algorithm is not HS256")]
    Algorithm,
    /// The header names an extension that must be understood; none is.
    #[error("Token header marks an extension as critical")]
    Critical,
    /// Neither key made this MAC.
    #[error("Token is signed with neither the current nor the next key")]
    Mac,
    /// The claims are signed, but are not a JSON object, or one is there twice.
    #[error("Token claims are unreadable")]
    Claims,
    /// A required claim is missing.
    #[error("Token has no claim {0}")]
    Missing(&'static str),
    /// A claim is of another JSON type than QStash sends.
    #[error("Token claim {0} has the wrong type")]
    ClaimType(&'static str),
    /// Another service than QStash issued the token.
    #[error("Token issuer is not Upstash")]
    Issuer,
    /// The token has expired, or the clock of this machine is ahead.
    #[error("Token expired {seconds} s ago")]
    Expired {
        /// The seconds since its expiry.
        seconds: u64,
    },
    /// The token lives longer than the five minutes of QStash's, or this machine's clock is behind.
    #[error("Token lives {seconds} s longer from now on, more than QStash gives")]
    Lifetime {
        /// The seconds that are left of its life.
        seconds: u64,
    },
    /// The token is not valid yet, or the clock of this machine is behind.
    #[error("Token is valid only in {seconds} s")]
    NotYet {
        /// The seconds until then.
        seconds: u64,
    },
    /// The token is for another address: the call was forwarded, or APP_URL is wrong.
    #[error("Token was signed for {signed_for}, not for the public URL of this route")]
    Url {
        /// The address it was signed for, without its query.
        signed_for: String,
    },
    /// The token is for this address with another query.
    #[error("Token was signed for this route with another query")]
    Query,
    /// The body is not the one that was signed: it was changed, or serialised again on the way.
    #[error("Token was signed for another body")]
    Body,
}
