//! Why a signed call is refused.

/// Live tokens are under 1 KiB; the cap keeps a stranger from having us hash and parse more.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Why a call was refused. For the log alone: the caller learns nothing from the answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More text than any token of QStash's has.
    #[error("Token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not header, claims and MAC.
    #[error("Token has not exactly three parts")]
    Parts,
    /// Padding, a foreign character or unused bits that are set: another spelling of some token.
    #[error("Token is not canonical base64url")]
    Encoding,
    /// Not a JSON object, or a field twice.
    #[error("Token header is unreadable")]
    Header,
    /// Another algorithm, `none` among them, or the name in another spelling.
    #[error("Token algorithm is not HS256")]
    Algorithm,
    /// The header asks for an extension that must be understood; none is.
    #[error("Token header marks an extension as critical")]
    Critical,
    /// Neither key made this MAC.
    #[error("Token is signed with neither the current nor the next key")]
    Mac,
    /// Signed, but not a JSON object, or a claim twice.
    #[error("Token claims are unreadable")]
    Claims,
    /// A claim that must be there is not.
    #[error("Token has no claim {0}")]
    Missing(&'static str),
    /// A claim is of another JSON type than QStash sends.
    #[error("Token claim {0} has the wrong type")]
    ClaimType(&'static str),
    /// Signed for a service other than QStash.
    #[error("Token issuer is not Upstash")]
    Issuer,
    /// Too late, or our clock is ahead.
    #[error("Token expired {seconds} s ago")]
    Expired {
        /// The seconds since its expiry.
        seconds: u64,
    },
    /// QStash signs for five minutes; a longer life is not its doing, or our clock is behind.
    #[error("Token lives {seconds} s longer from now on, more than QStash gives")]
    Lifetime {
        /// The seconds that are left of its life.
        seconds: u64,
    },
    /// Too early, or our clock is behind.
    #[error("Token is valid only in {seconds} s")]
    NotYet {
        /// The seconds until then.
        seconds: u64,
    },
    /// Signed for another address: a forwarded call, or a public URL set wrongly here.
    #[error("Token was signed for {signed_for}, not for the public URL of this route")]
    Url {
        /// The address it was signed for, without its query.
        signed_for: String,
    },
    /// The address is right up to the question mark.
    #[error("Token was signed for this route with another query")]
    Query,
    /// The bytes are not those that were signed: changed, or serialised again on the way.
    #[error("Token was signed for another body")]
    Body,
}
