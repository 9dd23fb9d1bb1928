#![doc = include_str!("../../README.md")]

pub mod account_table;
pub mod apply;
pub mod company;
pub mod directory;
pub mod json_table;
pub mod phone_book;
pub mod quickstart;
pub mod screen;
pub mod tour;
