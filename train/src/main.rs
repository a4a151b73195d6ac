use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(settings)
        .format_timestamp(None)
        .format_target(false)
        .init();
    blemish_train::cli::run(blemish_train::cli::Cli::parse())
}
