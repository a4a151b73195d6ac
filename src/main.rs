//! The `blemish` program: see `blemish --help`.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::give_great_blocks_back();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            cli::say(&*error);
            ExitCode::from(cli::EXIT_BAD_INPUT)
        }
    }
}
