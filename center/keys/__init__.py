"""The center's own authority: keys and certificates for its broker, itself and every device. docs/design/keys.md."""
