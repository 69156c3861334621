//! The policy: what loads, what the rules open, what survives a bad reload.

mod city;
mod command;
mod decisions;
mod forbids;
mod loads;
mod reload;
mod support;
