//! What governs a running process and may change meanwhile: its audit log, policy, the
//! kill switch. Who is believed is watched by [`super::rotation`].

pub(super) mod authority;
pub(super) mod health;
pub(super) mod log;
pub(super) mod policy;
pub(super) mod ready;
pub(super) mod switch;
