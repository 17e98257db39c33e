"""The queue engine: a pure state machine. It knows no SQL, no HTTP, no MQTT and no clock."""
