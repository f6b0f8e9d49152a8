//! Renewal handles: derived from the session's id, not stored and not rotated. Without the session
//! key a handle is worth nothing, and a lost answer is simply asked for again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_keys::Keyring;

use crate::domain::ids::SessionId;
use crate::domain::secret::Secret;

const PREFIX: &str = "wrh_";

/// The handle of a session.
pub fn derive(keys: &Keyring, session: SessionId) -> Secret {
    let mut bytes = session.as_bytes().to_vec();
    bytes.extend_from_slice(&keys.handle_mac(session.as_bytes()));
    Secret::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Whether a text has the form of a handle, whoever made it.
pub fn looks_like(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The session of a handle that was derived here; `None` for every other text.
pub fn session(keys: &Keyring, text: &str) -> Option<SessionId> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    let (id, mac) = bytes.split_at_checked(16)?;
    let id: [u8; 16] = id.try_into().ok()?;
    keys.verify_handle(&id, mac)
        .then(|| SessionId::from_bytes(id))
}
