# The gateway in an image that holds nothing but it and the certificates of public authorities.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/portcullis /usr/local/bin/portcullis
RUN useradd --system --uid 10001 --no-create-home portcullis \
 && install -d -o 10001 -m 0700 /var/lib/portcullis
USER 10001
EXPOSE 8443 9443
HEALTHCHECK --interval=5s --timeout=4s CMD ["portcullis", "healthcheck"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
