"""Every word on the demo page, Vietnamese first, English beside it."""

from typing import Literal

from center.web.words import WORDS as PAGES

Language = Literal["vi", "en"]

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Trung tâm mô phỏng", "A center in a box"),
    "intro": (
        "Mọi chương trình ở đây là chương trình thật; chỉ nút, đèn, bảng số và cảnh quay là mô phỏng. Xin mời bấm thử.",
        "Every program here is the real one; only buttons, lights, panels and the room are simulated. Press them.",
    ),
    "other_language": ("English", "Tiếng Việt"),
    "skip": ("Đến các quầy", "Skip to the counters"),
    "offline": ("Mất kết nối với trung tâm, đang nối lại…", "No contact with the center, reconnecting…"),
    "board": ("Bảng gọi số", "Hall board"),
    "kiosk": ("Máy lấy số", "Ticket kiosk"),
    "devices": ("Thiết bị", "Devices"),
    "screens": ("Các màn hình", "Screens"),
    "sound": ("Âm thanh", "Sound"),
    "step_1": ("Lấy số", "Take a number"),
    "step_2": ("Cán bộ bấm “Gọi số tiếp”", "The officer presses “Call next”"),
    "step_3": ("Bắt đầu phục vụ, rồi hoàn thành", "Start serving, then finish"),
    "step_4": ("Người dân bấm đánh giá", "The citizen rates"),
    "taken": ("Số của ông/bà: {number}", "Your number: {number}"),
    "ahead": ("Trước ông/bà còn {n} người", "{n} people are before you"),
    "ahead_one": ("Trước ông/bà còn 1 người", "One person is before you"),
    "ahead_none": ("Ông/bà là người tiếp theo", "You are next"),
    "waiting": ("{n} người chờ", "{n} waiting"),
    "counter": ("Quầy {label}", "Counter {label}"),
    "serves": ("Nhận {letters}", "Serves {letters}"),
    "officer_page": ("Cán bộ", "Officer"),
    "rate_page": ("Đánh giá", "Rating"),
    "panel": ("Bảng số tại quầy", "Counter display"),
    "codec_modbus-led": ("LED 7 thanh, Modbus RTU", "7-segment LED, Modbus RTU"),
    "codec_cd5220": ("VFD 2×20, CD5220", "VFD 2×20, CD5220"),
    "cable": ("Dây bảng số", "Display cable"),
    "cable_in": ("Đã cắm", "Plugged in"),
    "cable_out": ("Đã rút", "Unplugged"),
    "rating": ("Đánh giá sự hài lòng", "How satisfied are you?"),
    "rating_pad": ("Nút đánh giá", "Rating pad"),
    "level_1": ("Không hài lòng", "Dissatisfied"),
    "level_2": ("Hài lòng", "Satisfied"),
    "level_3": ("Rất hài lòng", "Very satisfied"),
    "callpad": ("Bàn phím gọi số", "Call pad"),
    "next": ("Gọi số tiếp", "Call next"),
    "recall": ("Gọi lại", "Call again"),
    "no_show": ("Vắng mặt", "No-show"),
    "pause": ("Tạm dừng", "Pause"),
    "no_power": ("Đang khởi động lại", "Restarting"),
    "light_on": ("đèn sáng", "light on"),
    "light_off": ("đèn tắt", "light off"),
    "outbox": ("Chờ gửi: {n}", "Not sent yet: {n}"),
    "outbox_0": ("Đã gửi hết", "All sent"),
    "camera": ("Camera giám sát", "Supervision camera"),
    "camera_sees": ("Camera đang thấy", "What the camera sees"),
    "camera_video": (
        "Camera đang xem tệp {name} (đây là hình đầu)",
        "The camera watches {name} (this is its first picture)",
    ),
    "camera_off": ("Camera đang khởi động lại", "The camera is restarting"),
    "lens": ("Che ống kính", "Cover the lens"),
    "lens_free": ("Không bị che", "Free"),
    "lens_covered": ("Đang bị che", "Covered"),
    "incidents_0": ("Chưa có sự kiện", "No incident yet"),
    "incidents_n": ("{n} sự kiện", "Incidents: {n}"),
    "incident_line": ("{time} {kind}", "{time} {kind}"),
    "incident_on": ("{time} {kind}, đang diễn ra", "{time} {kind}, going on"),
    "live": ("Trực tiếp", "Live"),
    "review": ("Xem lại", "Review"),
    "broker": ("Máy chủ MQTT", "MQTT broker"),
    "broker_on": ("Đang chạy ({kind})", "Running ({kind})"),
    "broker_off": ("Đã dừng – lượt đánh giá được giữ lại", "Stopped – ratings are kept"),
    "desk_closed": ("Quầy đang đóng", "The counter is closed"),
    "desk_open": ("Chưa có khách tại quầy", "Nobody at the counter"),
    "desk_paused": ("Quầy đang tạm dừng", "The counter is paused"),
    "desk_called": ("Đang gọi {number}", "Calling {number}"),
    "desk_serving": ("Đang phục vụ {number}", "Serving {number}"),
    "do_open": ("Mở quầy", "Open the counter"),
    "do_resume": ("Tiếp tục nhận khách", "Resume"),
    "do_start": ("Bắt đầu phục vụ", "Start serving"),
    "do_finish": ("Hoàn thành", "Finish"),
    "refused": ("Không được: {message}", "Refused: {message}"),
    "unreachable": ("Chưa liên lạc được với trung tâm", "The center does not answer"),
}

TAMPER = ("covered", "defocused", "moved", "frozen")
INCIDENTS = ("waiting_alone", "officer_absent", "crowding", "after_hours", "panic")
WORDS |= {f"kind_{kind}": PAGES[f"incident_{kind}"] for kind in INCIDENTS}
WORDS |= {f"kind_{kind}": PAGES["incident_tamper"] for kind in TAMPER}


def words(language: Language) -> dict[str, str]:
    """Return the words of one language."""
    place = 0 if language == "vi" else 1
    return {key: both[place] for key, both in WORDS.items()}
