"""The notice for the wall, to be printed on A4: who records here, what for, what not, for how long, whom to ask.

Anybody may read it: it is hung where nobody has logged in. What it says is true by `[retention]` and `[clips]`.
"""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from center.config import Config
from center.web.drawing import Drawing, PageRequest
from center.web.words import say


def notice_routes(config: Config, drawing: Drawing) -> list[HTTPRouteHandler]:
    """Return the notice's route."""

    @get("/cameras/notice", include_in_schema=False, sync_to_thread=False)
    def notice(request: PageRequest) -> Response[bytes]:
        """Draw it: Vietnamese first, English below, whatever the reader's language."""
        return drawing.draw(
            request,
            "notice",
            vi=lambda key, **values: say(key, "vi", **values),
            en=lambda key, **values: say(key, "en", **values),
            days=config.retention.clips_days,
            contact=config.clips.contact,
            elsewhere=config.clips.store is not None,
            clear="notice_picture_clear" if config.clips.reveal_key_file else "notice_picture_never",
        )

    return [notice]
