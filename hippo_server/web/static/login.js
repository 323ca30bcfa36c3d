// Whoever opened the link meant to log in: no second click.
document.getElementById("login").requestSubmit();
