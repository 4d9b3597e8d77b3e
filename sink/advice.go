package sink

// advice tells an operator what to do about an error that holds batches.
func (d *Delivery) advice(failure *Error) string {
	switch failure.Code {
	case 192, 193, 194, 516, 720:
		return "check the ClickHouse user and password in the configuration"
	case 164, 291, 497:
		return "grant the ClickHouse user INSERT and SELECT on " + failure.Table
	case 195:
		return "let the ClickHouse user connect from this address"
	case 62, 73, 115, 452:
		return "check the server's version and the constraints of the user's settings profile"
	case 81:
		return "create the database of " + failure.Table + ", or correct the route's"
	case 60, 218:
		return "create " + failure.Table + ", or let the gateway migrate it"
	}
	if failure.Class == Schema {
		return "make the columns of " + failure.Table + " fit its route, or let the gateway migrate it"
	}
	if reason := d.config.Classes.Classify(failure.Code, failure.Error()).Reason; failure.Code != 0 {
		return reason
	}
	return "see the error"
}
