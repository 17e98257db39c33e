"""Events to the center: the outbox that keeps them and the transport that carries them."""
