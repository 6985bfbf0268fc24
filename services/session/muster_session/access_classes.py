"""Who may change a class, and who may look into it."""

from muster_kit.caller import Caller, CallerKind, OrganizationRole
from muster_kit.errors import MusterError, Reason

from muster_session.access import sees_all
from muster_session.model_classes import SchoolClass


def sees_every_class(caller: Caller) -> bool:
    """Tell whether the caller sees all classes of the organization.

    Services do, and owners, admins and editors, who may hold a session for any class; members see
    those they are in.
    """
    if caller.kind is CallerKind.SERVICE:
        return True
    return sees_all(caller) or caller.organization_role is OrganizationRole.EDITOR


def require_change(caller: Caller, school_class: SchoolClass) -> None:
    """Raise MusterError(PERMISSION_DENIED) unless the caller may change the class and its roster.

    That is: as owner or admin of the organization, or as the editor who is its teacher.
    """
    teaches = caller.subject == school_class.settings.teacher_user_id
    if not (sees_all(caller) or (teaches and caller.organization_role is OrganizationRole.EDITOR)):
        raise MusterError(Reason.PERMISSION_DENIED, detail="is not the teacher of the class")
