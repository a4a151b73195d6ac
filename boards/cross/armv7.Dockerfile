# glibc 2.31: JetPack 5, Raspberry Pi OS bullseye and everything newer.
FROM debian:bullseye-20240722-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates gcc gcc-arm-linux-gnueabihf libc6-dev-armhf-cross libclang1-11 make \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc \
    CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc \
    BINDGEN_EXTRA_CLANG_ARGS_armv7_unknown_linux_gnueabihf="--sysroot=/usr/arm-linux-gnueabihf -I/usr/arm-linux-gnueabihf/include"
