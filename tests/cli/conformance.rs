//! The conformance kit against servers that hold and servers that do not.

mod broken;
mod command;
mod enforcing;
mod faults;
mod kit;
mod open_door;
mod proxy;
mod source;
