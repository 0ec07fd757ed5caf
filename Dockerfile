# Builds the `ipam` binary and nothing else into a small image.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ make pkg-config libclang-dev zlib1g-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
# Benchmarks are named in Cargo.toml, so cargo wants to see their files.
COPY benches benches
ENV CARGO_PROFILE_DEV_OPT_LEVEL=3
RUN cargo build --locked --target-dir /target

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 zlib1g && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/ipam ipam
COPY --from=build /target/debug/ipam /usr/local/bin/ipam
USER ipam
VOLUME /var/lib/ipam
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["ipam"]
CMD ["serve", "--data", "/var/lib/ipam", "--listen", "0.0.0.0:8080"]
