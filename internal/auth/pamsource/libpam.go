//go:build cgo && pam

package pamsource

/*
#cgo LDFLAGS: -lpam
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

// answer gives the password to whoever asks for something that is not to be seen.
// Another question is one that mail programs cannot answer.
static int answer(int n, const struct pam_message **messages, struct pam_response **responses, void *password) {
	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	struct pam_response *r = calloc(n, sizeof *r);
	if (r == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		int style = messages[i]->msg_style;
		if (style == PAM_PROMPT_ECHO_OFF)
			r[i].resp = strdup(password);
		if (style == PAM_PROMPT_ECHO_ON || (style == PAM_PROMPT_ECHO_OFF && r[i].resp == NULL)) {
			for (int j = 0; j <= i; j++)
				free(r[j].resp);
			free(r);
			return PAM_CONV_ERR;
		}
	}
	*responses = r;
	return PAM_SUCCESS;
}

// no_delay is in the place of the wait after a failure, which the guard sees to.
static void no_delay(int status, unsigned microseconds, void *data) {}

static int authenticate(const char *service, const char *dir, const char *user, char *password) {
	struct pam_conv conversation = { answer, password };
	pam_handle_t *pam = NULL;
	int status = dir[0] != 0
		? pam_start_confdir(service, user, &conversation, dir, &pam)
		: pam_start(service, user, &conversation, &pam);
	if (status != PAM_SUCCESS)
		return status;
	status = pam_set_item(pam, PAM_FAIL_DELAY, (const void *)no_delay);
	if (status == PAM_SUCCESS)
		status = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS)
		status = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	pam_end(pam, status);
	return status;
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"tidemark/internal/auth"
)

const available = true

// authenticate checks a password, and whether the user may log in now. Its error is
// auth.ErrWrongPassword unless it is not known.
func authenticate(service, dir, name, password string) error {
	var texts [4]*C.char
	for i, s := range [4]string{service, dir, name, password} {
		texts[i] = C.CString(s)
		defer C.free(unsafe.Pointer(texts[i]))
	}
	defer C.memset(unsafe.Pointer(texts[3]), 0, C.size_t(len(password)))
	switch status := C.authenticate(texts[0], texts[1], texts[2], texts[3]); status {
	case C.PAM_SUCCESS:
		return nil
	case C.PAM_AUTH_ERR, C.PAM_USER_UNKNOWN, C.PAM_MAXTRIES, C.PAM_PERM_DENIED,
		C.PAM_ACCT_EXPIRED, C.PAM_NEW_AUTHTOK_REQD, C.PAM_CRED_EXPIRED, C.PAM_AUTHTOK_EXPIRED:
		return auth.ErrWrongPassword
	default:
		return fmt.Errorf("%s (%d)", C.GoString(C.pam_strerror(nil, status)), int(status))
	}
}
