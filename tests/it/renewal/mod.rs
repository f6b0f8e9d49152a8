//! Renewal judges everything anew: each input, moved alone between mint and renewal, stops it with
//! a code of its own, and what has ended never issues again.

mod evidence;
mod identity;
mod inputs;
mod repeated;
