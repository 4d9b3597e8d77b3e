package accesslog

// What the traffic is made of. Entries are repeated to be more frequent.

var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
}

var crawlers = []string{
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
	"Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
	"DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
}

var apiClients = []string{
	"Go-http-client/1.1", "okhttp/4.12.0", "python-requests/2.32.4", "axios/1.10.0", "curl/8.14.1",
}

var apiUsers = []string{"warehouse", "mobile-app", "partner-17", "reporting"}

var probers = []string{
	"Mozilla/5.0 zgrab/0.x", "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", "python-urllib3/2.5.0", "-",
}

var referers = []string{
	"-", "-", "-", "https://www.google.com/", "https://www.google.com/", "https://duckduckgo.com/", "https://www.bing.com/",
	"https://news.example.org/best-tents", "https://mail.example.net/",
}

var categories = []string{
	"tents", "tents", "sleeping-bags", "backpacks", "backpacks", "stoves", "boots", "climbing", "maps", "sale", "sale", "sale",
}

var searches = []string{
	"tent", "2+person+tent", "gas+stove", "boots+size+43", "sleeping+bag+down", "rain+jacket", "headlamp", "water+filter",
	"carabiner", "trekking+poles", "map+of+the+alps", "backpack+40l",
}

var pages = []string{
	"/cart", "/login", "/account", "/account/orders", "/about", "/shipping", "/returns", "/blog/how-to-choose-a-tent", "/blog", "/contact",
}

var assets = []string{
	"/static/css/main.8c1f2b.css", "/static/js/app.41d09e.js", "/static/js/vendor.77ab10.js", "/static/img/logo.svg",
	"/static/img/hero-summer.avif", "/static/fonts/inter-var.woff2", "/favicon.ico", "/static/img/products/thumb-17.avif",
	"/static/img/products/thumb-204.avif",
}

var probes = []string{
	"/.env", "/.git/config", "/wp-login.php", "/wp-admin/install.php", "/phpmyadmin/index.php", "/cgi-bin/luci",
	"/actuator/env", "/server-status", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "/owa/auth/logon.aspx",
}
