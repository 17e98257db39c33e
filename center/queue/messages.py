"""What a refusal says to people, in Vietnamese and in English, by its code."""

from center.queue.model import Refusal

CATALOGUE: dict[str, tuple[str, str]] = {
    "already_here": ("Số {number} đang ở quầy này rồi.", "Number {number} is already at this counter."),
    "already_serving": ("Số {number} đang được phục vụ.", "Number {number} is already being served."),
    "at_other_counter": ("Số {number} đang ở quầy {counter}.", "Number {number} is at counter {counter}."),
    "counter_closed": ("Quầy đang đóng. Hãy mở quầy trước.", "The counter is closed. Open it first."),
    "counter_paused": (
        "Quầy đang tạm dừng. Hãy bấm “Tiếp tục nhận khách” trước.",
        "The counter is paused. Resume first.",
    ),
    "day_not_started": ("Chưa bắt đầu ngày làm việc.", "The business day has not begun."),
    "day_started": ("Ngày làm việc {day} đã bắt đầu.", "The business day {day} has begun already."),
    "no_ticket": ("Quầy chưa có số nào.", "There is no number at the counter."),
    "not_waiting": ("Số {number} không còn chờ.", "Number {number} does not wait any more."),
    "numbers_used_up": (
        "Đã hết số của lĩnh vực {service} trong hôm nay.",
        "There are no numbers left for {service} today.",
    ),
    "other_service": (
        "Số {number} thuộc lĩnh vực {service}, quầy này không nhận.",
        "Number {number} is for {service}, which this counter does not serve.",
    ),
    "queue_empty": ("Không còn ai chờ.", "Nobody is waiting."),
    "recall_limit": (
        "Đã gọi lại số {number} {times} lần. Hãy đánh dấu vắng mặt.",
        "Number {number} was recalled {times} times. Mark it as a no-show.",
    ),
    "return_too_late": (
        "Số {number} đã quá {minutes} phút. Xin lấy số mới.",
        "Number {number} is more than {minutes} minutes late. Please take a new number.",
    ),
    "stale": (
        "Quầy đã thay đổi. Hãy xem lại rồi bấm lần nữa.",
        "Something has changed meanwhile. Look again, then press once more.",
    ),
    "ticket_open": (
        "Còn số {number} ở quầy. Hãy kết thúc số này trước.",
        "Number {number} is still at the counter. Finish it first.",
    ),
    "transfer_closed": (
        "Quầy {counter} đang đóng. Hãy chọn quầy khác.",
        "Counter {counter} is closed. Choose another one.",
    ),
    "transfer_nowhere": (
        "Hãy chọn lĩnh vực hoặc quầy khác để chuyển.",
        "Choose another service or counter to transfer to.",
    ),
    "unknown_counter": ("Không có quầy {counter}.", "There is no counter {counter}."),
    "unknown_number": ("Hôm nay không có số {number}.", "There is no number {number} today."),
    "unknown_service": ("Không có lĩnh vực {service}.", "There is no service {service}."),
    "unknown_ticket": ("Không tìm thấy phiếu này hôm nay.", "This ticket is not of today."),
    # Refusals of the hall, which is around the engine.
    "already_rated": ("Lượt này đã được đánh giá. Cảm ơn!", "This visit has been rated already. Thank you!"),
    "key_reused": (
        "Mã yêu cầu này đã dùng cho việc khác. Hãy tải lại trang.",
        "This request's key was used for something else. Load the page again.",
    ),
    "not_rateable": ("Quầy không chờ đánh giá cho phiếu này.", "The counter awaits no rating for this ticket."),
    "overloaded": ("Hệ thống đang quá tải. Xin thử lại sau vài giây.", "The center is overloaded. Try again soon."),
    "request_expired": ("Yêu cầu đã quá hạn. Hãy bấm lại.", "The request has expired. Press again."),
    "request_invalid": ("Yêu cầu không hợp lệ: {reason}", "The request is not valid: {reason}"),
    "stopping": ("Hệ thống đang dừng. Xin thử lại sau.", "The center is stopping. Try again later."),
    "store_failed": (
        "Không ghi được dữ liệu. Chưa có gì thay đổi; hãy báo quản trị.",
        "The store cannot be written. Nothing has changed; tell the administrator.",
    ),
    "store_full": (
        "Ổ đĩa của máy chủ đã đầy. Chưa có gì thay đổi; hãy báo quản trị.",
        "The server's disk is full. Nothing has changed; tell the administrator.",
    ),
    "unknown_level": ("Thang đánh giá không có mức {level}.", "The scale has no level {level}."),
}
"""Code → (Vietnamese, English), with `{facts}` to fill in."""


def refuse(code: str, **facts: str) -> Refusal:
    """Return the refusal of this code, its message in Vietnamese."""
    return Refusal(code=code, message=CATALOGUE[code][0].format_map(facts), facts=facts)


def text(refusal: Refusal, lang: str) -> str:
    """Return what a refusal says in `lang` ("vi" or "en")."""
    known = CATALOGUE.get(refusal.code)
    return known[1].format_map(refusal.facts) if known and lang == "en" else refusal.message
