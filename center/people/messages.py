"""What a refusal about accounts says to people, in Vietnamese and in English, by its code."""

from center.people.model import PeopleError

CATALOGUE: dict[str, tuple[str, str]] = {
    "account_disabled": ("Tài khoản của anh/chị đã bị khóa.", "Your account is disabled."),
    "account_exists": ("Đã có tài khoản {name}.", "There is an account {name} already."),
    "account_unknown": ("Không có tài khoản {name}.", "There is no account {name}."),
    "accounts_full": ("Đã có {most} tài khoản, là mức tối đa.", "There are {most} accounts, which is the most."),
    "desk_elsewhere": (
        "Anh/chị đang làm việc ở quầy {counter}. Muốn làm ở quầy này, xin mở trang của quầy này và nhận quầy.",
        "You work at counter {counter} now. To work here, open this counter's page and take it.",
    ),
    "desk_taken": (
        "Quầy này đang có {who} làm việc.",
        "{who} works at this counter.",
    ),
    "forbidden": ("Tài khoản của anh/chị không có quyền này.", "Your account may not do this."),
    "full_name_unusable": (
        "Họ và tên là một dòng, từ 1 đến {most} ký tự.",
        "A full name is one line of 1 to {most} characters.",
    ),
    "last_administrator": (
        "Đây là quản trị viên cuối cùng đang hoạt động có mật khẩu tại đây. Hãy thêm một người khác trước.",
        "This is the last active administrator with a password here. Make another one first.",
    ),
    "login_failed": ("Tên đăng nhập hoặc mật khẩu chưa đúng.", "The name or the password is wrong."),
    "login_needed": ("Xin đăng nhập trước.", "Log in first."),
    "login_wait": (
        "Đã thử quá nhiều lần. Xin chờ {seconds} giây rồi thử lại.",
        "Too many tries. Wait {seconds} seconds, then try again.",
    ),
    "logins_busy": (
        "Đang có quá nhiều người đăng nhập. Xin thử lại sau {seconds} giây.",
        "Too many people are logging in. Try again in {seconds} seconds.",
    ),
    "name_unusable": (
        "Tên đăng nhập có từ 2 đến 32 ký tự a-z, 0-9, dấu chấm, gạch nối hoặc gạch dưới, ví dụ an.nguyen.",
        "A login name is {rule}.",
    ),
    "oidc_down": (
        "Chưa nối được {label}. Xin đăng nhập bằng mật khẩu tại đây, hoặc thử lại sau.",
        "{label} cannot be reached. Log in by a password of this center, or try again later.",
    ),
    "oidc_failed": (
        "{label} trả lời không hợp lệ nên không đăng nhập được. Xin báo quản trị viên.",
        "The answer of {label} was not valid, so nobody was logged in. Tell an administrator.",
    ),
    "oidc_refused": (
        "{label} không cho đăng nhập ({reason}).",
        "{label} did not let you in ({reason}).",
    ),
    "oidc_stale": (
        "Lần đăng nhập này đã hết hạn hoặc đã dùng rồi. Xin thử lại từ đầu.",
        "This login is too old or was used already. Begin again.",
    ),
    "own_account": (
        "Không ai tự khóa hay tự đổi vai trò của mình được. Xin nhờ một quản trị viên khác.",
        "Nobody disables their own account or changes their own role. Ask another administrator.",
    ),
    "own_password": (
        "Xin đổi mật khẩu của chính mình ở trang Đổi mật khẩu.",
        "Change your own password on the page for it (/password).",
    ),
    "password_change_needed": ("Xin đổi mật khẩu trước.", "Change your password first."),
    "password_common": (
        "Mật khẩu này dễ đoán. Xin chọn mật khẩu khác, ví dụ bốn từ không liên quan đến nhau.",
        "This password is easy to guess. Choose another, such as four words that have nothing to do with each other.",
    ),
    "password_differs": ("Hai lần nhập mật khẩu mới không giống nhau.", "The two new passwords are not the same."),
    "password_elsewhere": (
        "Tài khoản này đăng nhập qua hệ thống khác; mật khẩu và vai trò do hệ thống đó quản lý.",
        "This account logs in through another system, which keeps its password and its role.",
    ),
    "password_long": ("Mật khẩu có nhiều nhất {most} ký tự.", "A password has at most {most} characters."),
    "password_same": ("Mật khẩu mới phải khác mật khẩu cũ.", "The new password must be another one."),
    "password_short": ("Mật khẩu cần ít nhất {least} ký tự.", "A password needs at least {least} characters."),
    "password_wrong": ("Mật khẩu hiện tại chưa đúng.", "The current password is wrong."),
    "role_missing": (
        "{label} chưa cấp cho anh/chị vai trò nào ở trung tâm này. Xin hỏi quản trị viên.",
        "{label} gives you no role at this center. Ask an administrator.",
    ),
    "role_unknown": ("Vai trò là một trong: {roles}.", "A role is one of {roles}."),
    "tickets_wait": (
        "Nơi này vừa lấy quá nhiều số. Xin chờ {seconds} giây rồi thử lại.",
        "Too many numbers were taken from here. Wait {seconds} seconds, then try again.",
    ),
}
"""Code → (Vietnamese, English), with `{facts}` to fill in."""


def explain(error: PeopleError, lang: str) -> str:
    """Return what a refusal says in `lang` ("vi" or "en")."""
    return CATALOGUE[error.code][lang == "en"].format_map(error.facts)
