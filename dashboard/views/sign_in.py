"""The door: sign-in, sign-out, and where to go after it."""

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.models import Membership, User
from dashboard.forms.sign_in import SignInForm
from paid.lib.tenancy import signed_in


class SignIn(LoginView):
    template_name = "dashboard/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        # Django notes the time of the sign-in on the user's row, which only its owner may write.
        with signed_in(form.get_user().pk):
            return super().form_valid(form)


class SignOut(LogoutView):
    http_method_names = ["post", "options"]  # noqa: RUF012 - Django declares it as a plain list


def home(request: HttpRequest) -> HttpResponse:
    """The only account's overview, or the choice between several."""
    if not isinstance(request.user, User):
        return redirect("sign_in")
    memberships = list(Membership.objects.filter(user=request.user).select_related("account").order_by("account__name"))
    if len(memberships) == 1:
        return redirect("overview", memberships[0].account.slug)
    return render(request, "dashboard/choose_account.html", {"memberships": memberships})
