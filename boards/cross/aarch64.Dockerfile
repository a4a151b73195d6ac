# glibc 2.31: JetPack 5, Raspberry Pi OS bullseye and everything newer.
FROM debian:bullseye-20240722-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross libclang1-11 make \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
    BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--sysroot=/usr/aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
