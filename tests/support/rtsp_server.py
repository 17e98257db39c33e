"""A real RTSP camera, by GStreamer: a ball that moves, at /live. Where a password is given, it is asked for.

Run by the system's Python, which knows GStreamer, with PORT WIDTH HEIGHT FPS KEY_EVERY and perhaps USER PASSWORD.
It prints the port that it listens on.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - its version must be chosen first

port, width, height, fps, key_every, *password = sys.argv[1:]
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(
    f"( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={fps}/1"
    f" ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={key_every} ! rtph264pay name=pay0 pt=96"
    " config-interval=1 )"
)
if password:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "officer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*password), token)
    server.set_auth(auth)
    rights = GstRtspServer.RTSPPermissions()
    rights.add_permission_for_role("officer", "media.factory.access", True)
    rights.add_permission_for_role("officer", "media.factory.construct", True)
    factory.set_permissions(rights)
server.get_mount_points().add_factory("/live", factory)
if not server.attach(None):
    sys.exit(f"port {port} is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
