//! What may leave an agency at all: nothing outside requested ∩ granted ∩ gateway
//! policy ∩ agency policy ∩ offered, whatever grants, policies and requests there
//! are, and whatever a gateway in an attacker's hands sends. Counted at the
//! agency's own door, over real links, grants, policies and databases. All people
//! are synthetic.

mod grants;
mod hostile;
mod law;
mod policies;
mod sums;
mod tap;
mod under_way;
mod world;
