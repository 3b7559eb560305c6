"""SES-shaped mail: a message is composed, then kept in the inbox (development) or relayed to an SMTP server.

compose    what is asked for → an RFC 5322 message and its envelope     (pure)
inbox      the last messages, kept and shown
relay      one SMTP conversation a message
mailer     which of the two; what the API calls
"""
