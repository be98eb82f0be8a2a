//! Throwaway databases and a QStash signer, for `syncline demo` and the tests; imports nothing of ours.
